"""Cloud models that hear and speak: an adapter a protocol, one WebSocket shell, vendors' names in their own files."""
