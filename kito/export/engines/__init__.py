"""The engines that run exported files: each loads a file, runs it, and makes a call to be timed.

One module for each format of :mod:`kito.export.formats` that Keras itself does not run, under the
format's name. None of them imports Keras, so that a process that only runs a file starts fast.
"""
