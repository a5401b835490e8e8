"""Cloud models: those that hear and speak, and those that read and write. An adapter for each protocol, one WebSocket
shell, one HTTP shell; vendors' names in their own files.
"""
