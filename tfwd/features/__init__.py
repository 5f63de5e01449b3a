"""Features: how they are declared (`columns`), laid out (`layout`) and computed (`transform`)."""
