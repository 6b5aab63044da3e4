"""Teachers over a box of tasks: ALP-GMM, Covar-GMM, RIAC, random."""
