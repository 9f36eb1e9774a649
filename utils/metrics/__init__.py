"""How far a surface is from the true one."""
