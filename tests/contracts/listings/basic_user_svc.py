from evox import ServiceBuilder, Param, Body, Intent, inject
from pydantic import BaseModel

# Define data models
class UserCreate(BaseModel):
    name: str
    email: str
    age: int

class UserUpdate(BaseModel):
    name: str = None
    email: str = None
    age: int = None

# Create service
service = ServiceBuilder("basic-user-service")

# In-memory storage for demo purposes
users_db = {}

# Multi-method endpoint demonstrating different HTTP verbs
@service.endpoint("/{user_id}", methods=["GET", "PUT", "DELETE"])
@Intent(cacheable=True)  # This operation can be cached
async def user_operations(user_id: str = Param(), update_data: UserUpdate = Body(None)):
    """Handle user operations: GET, PUT, DELETE"""
    if update_data:  # PUT request
        if user_id in users_db:
            # Update existing user
            if update_data.name is not None:
                users_db[user_id]["name"] = update_data.name
            # ... update other fields
            return {"message": "User updated", "user": users_db[user_id]}
        else:
            return {"error": "User not found"}, 404
    
    # Check if this is a DELETE request
    import inspect
    frame = inspect.currentframe()
    request = frame.f_back.f_locals.get('request')
    if request and request.method == "DELETE":
        if user_id in users_db:
            del users_db[user_id]
            return {"message": "User deleted"}
        else:
            return {"error": "User not found"}, 404
    
    # GET request - retrieve user
    if user_id in users_db:
        return users_db[user_id]
    else:
        return {"error": "User not found"}, 404
