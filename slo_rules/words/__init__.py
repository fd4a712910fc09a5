"""What people read: promises in a phrase, and annotations that are looked up at the moment an alert fires."""
