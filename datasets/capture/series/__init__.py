"""Several series of one object that was moved in between: joined by the object's own features."""
