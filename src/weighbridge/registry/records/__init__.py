"""What the registry keeps: rows in a database, bytes by their digest, and a log that only grows."""

from weighbridge.registry.records.blobs import Blobs, FolderBlobs, ObjectBlobs, open_blobs
from weighbridge.registry.records.database import Database, Exclusive

__all__ = ["Blobs", "Database", "Exclusive", "FolderBlobs", "ObjectBlobs", "open_blobs"]
