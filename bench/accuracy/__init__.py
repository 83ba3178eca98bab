"""``make accuracy``: how many pictures are right, after learning from few, beside other tools on the same backbone."""
