"""A3, A6: what HTTP itself does not let through, and credentials that are wrong where nobody would have needed any."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hostile.corpus_tokens_internal import calling
from tests.hostile.forge import token
from tests.hostile.refusals import Ask, bearer, send
from tests.hostile.vault import guarded

BROKEN = {
    "a-folded-line": ("Authorization: Bearer {}", "\r\n {}"),
    "a-folded-line-before-the-token": ("Authorization: Bearer\r\n {}{}",),
    "a-bare-newline": ("Authorization: Bearer {}", "\n{}"),
    "a-bare-return": ("Authorization: Bearer {}", "\r{}"),
    "nul": ("Authorization: Bearer {}", "\0{}"),
    "nul-behind-it": ("Authorization: Bearer {}{}\0",),
    "a-blank-before-the-colon": ("Authorization : Bearer {}{}",),
    "a-blank-before-the-name": (" Authorization: Bearer {}{}",),
    "nul-in-the-name": ("Author\0ization: Bearer {}{}",),
    "wide-letters-in-the-name": ("\uff21uthorization: Bearer {}{}",),
}


@pytest.mark.parametrize("form", BROKEN.values(), ids=BROKEN)
async def test_A3_a_header_that_HTTP_does_not_allow_is_no_way_in(form: tuple[str, ...], tmp_path: Path) -> None:
    async with guarded(tmp_path) as vault:
        made = token()
        name, _, value = "".join(form).format(made[:60], made[60:]).partition(":")
        answer = await send(vault.url, Ask(((name, value.lstrip(" ")),)))
        assert (answer.status, vault.entered, vault.statistics().accepted) == (400, [], 0)
        assert (await send(vault.url, bearer(made))).status == 200


CREDENTIALS: dict[str, Callable[[], str]] = {
    "garbage": lambda: "shop",
    "a-users-token": token,
    "for-another-operation": lambda: calling(operation="GET /gold"),
    "for-another-service": lambda: calling({"aud": "evox-service:shop"}),
    "nothing": lambda: "",
}


@pytest.mark.parametrize("make", CREDENTIALS.values(), ids=CREDENTIALS)
async def test_A6_a_bad_internal_credential_is_refused_where_a_bad_token_is_nobodys(
    make: Callable[[], str], tmp_path: Path
) -> None:
    async with guarded(tmp_path) as vault:
        made = make()
        internal = Ask((("Authorization", f"Evox-Internal {made}"),), target="/open")
        assert ((await send(vault.url, internal)).status, vault.entered) == (401, [])
        outside = Ask((("Authorization", f"Bearer {made[:-1]}"),), target="/open")
        assert ((await send(vault.url, outside)).status, vault.entered) == (200, ["everybody"])
        assert vault.statistics().accepted == 0
