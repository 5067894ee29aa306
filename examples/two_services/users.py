"""The user service: who there is, and how much each of them may still spend."""

from evox import Body, ServiceBuilder, inject

from .contracts import User


class Accounts:
    def __init__(self) -> None:
        self.users = {1: User(id=1, name="Ada", credit=100), 2: User(id=2, name="Grace", credit=20)}


svc = ServiceBuilder("user-service").port(8007)


@svc.get("/users/{user_id}", priority="high")
async def get_user(user_id: int, accounts: Accounts = inject(Accounts)) -> User | tuple[dict[str, str], int]:
    return accounts.users.get(user_id) or ({"detail": f"there is no user {user_id}"}, 404)


# A charge must happen once, however often it is sent: its answer is kept by the key that the proxy sends with it.
@svc.post("/users/{user_id}/charges", idempotency="1h", private=True)
async def charge(
    user_id: int, amount: int = Body(embed=True), accounts: Accounts = inject(Accounts)
) -> User | tuple[dict[str, str], int]:
    user = accounts.users.get(user_id)
    if user is None:
        return {"detail": f"there is no user {user_id}"}, 404
    if user.credit < amount:
        return {"detail": f"{user.name} has {user.credit} left"}, 402
    user.credit -= amount
    return user
