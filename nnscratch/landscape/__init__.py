"""Functions of two variables, where what an optimizer does can be seen."""
