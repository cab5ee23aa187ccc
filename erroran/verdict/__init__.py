"""From errors of two arms to one comparison, one word and one plan."""
