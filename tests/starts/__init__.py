"""Every way in which a program starts, and a module comes to be imported."""
