from evox import ServiceBuilder, Controller, GET, POST, PUT, DELETE, Param, Query, Body, Intent
from pydantic import BaseModel

# Define data models
class ItemCreate(BaseModel):
    name: str
    description: str
    price: float
    category: str

class ItemUpdate(BaseModel):
    name: str = None
    description: str = None
    price: float = None
    category: str = None

# Controller with common settings applied to all methods
@Controller("/items", tags=["items"], version="v1")
@Intent(cacheable=True)  # Default intent for all methods in this controller
class ItemsController:
    
    # In-memory storage for demo purposes
    items_db = {}
    
    # GET method with specific overrides
    @GET("/{item_id}")
    @Intent(cacheable=True, ttl=600)  # Override default with longer TTL
    async def get_item(self, item_id: str = Param()):
        """Retrieve a specific item by ID"""
        if item_id in self.items_db:
            return self.items_db[item_id]
        else:
            return {"error": "Item not found"}, 404
    
    # GET method for listing items with query parameters
    @GET("/")
    @Intent(cacheable=True, ttl=300)  # Cacheable list with 5-minute TTL
    async def list_items(
        self, 
        category: str = Query(None),
        min_price: float = Query(None),
        max_price: float = Query(None)
    ):
        """List items with optional filtering"""
        filtered_items = list(self.items_db.values())
        
        if category:
            filtered_items = [item for item in filtered_items if item.get("category") == category]
        
        if min_price is not None:
            filtered_items = [item for item in filtered_items if item.get("price", 0) >= min_price]
        
        return {"items": filtered_items}
    
    # POST method with strong consistency requirement
    @POST("/")
    @Intent(consistency="strong")  # Strong consistency for creation
    async def create_item(self, item_data: ItemCreate = Body()):
        """Create a new item"""
        item_id = str(len(self.items_db) + 1)
        self.items_db[item_id] = {
            "id": item_id,
            "name": item_data.name,
            "description": item_data.description,
            "price": item_data.price,
            "category": item_data.category
        }
        return {"message": "Item created", "item": self.items_db[item_id]}, 201

# Create service and register controller
service = ServiceBuilder("advanced-items-service")
service.register_controller(ItemsController)
