from hypothesis import settings

# A busy machine may need longer for one example than hypothesis' deadline of 0.2 s.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
