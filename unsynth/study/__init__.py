"""The study: recipes compared at one equal budget, by what the joint spaces that they make are good for."""
