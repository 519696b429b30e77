"""mmreid.visualization."""
