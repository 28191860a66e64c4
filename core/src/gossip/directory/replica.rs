//! What one node knows of the endpoints of another, or of its own.
