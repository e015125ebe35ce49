"""What is published is what was tested: the built package, alone and beside its neighbours."""
