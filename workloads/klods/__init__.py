"""Group anomaly detection on a flow's latents, after KLODS (Zhang et al., arXiv 2002.03328).

The papers' exact estimator could not be read: abstracts and two third-party descriptions were all there was. What is
here is a derivation consistent with them, not their algorithm: the Gaussian KL divergence of a group's latent vectors.
Every choice that the text leaves open is a key of `config.KlodsConfig`, marked "guess". Nothing below needs a flow of
this project: latents are arrays.
"""
