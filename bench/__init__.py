"""distillbench: a suite file in, the paper's table out, with the evidence that it is true."""
