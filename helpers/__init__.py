"""The rooms behind the notebooks; README.md holds the map, and each room's docstring its own account."""
