"""Stage `masks`: what tells the object from the rest."""
