"""What builds the distributions; in none of them."""
