"""How much each head gives: heads, optimizers, learning rates, dropout, crosses; what was seen often and never."""
