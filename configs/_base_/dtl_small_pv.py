"""What the verification loss adds to the small configs without labels: a head that weighs 3 : 1, and pairs."""

_verification = dict(
    type='VerificationHead', in_channels=512, hidden_channels=256, dropout=0.5, loss_weight=3.0, require_pairs=False)
_pairs = dict(type='PKSampler', num_pids=16, num_instances=2)
