"""Flat sketches of things that strike, fall, step or only move: motion like that of footage, in any look.

What flying chairs did for optical flow (Dosovitskiy et al. 2015): a picture need not look real for motion to be learnt
from it, and one that costs a millisecond may look like anything.
"""
