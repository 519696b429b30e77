"""mmreid.apis."""
