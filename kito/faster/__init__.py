"""The same function through other stock layers: what the pass ``choose_kernels`` chooses from.

Each function takes one call, rewrites it if its conditions hold, and returns what does the work
now; None where it left everything as it was. They are exact everywhere; where they are faster, the
table of the pass says.
"""
