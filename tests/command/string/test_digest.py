def test_digest_is_xxh3(ask):
    assert ask("DIGEST k") is None
    ask("SET", "k", "Hello world")
    assert ask("DIGEST k") == b"b6acb9d84a38ff74"
    ask("SET", "k", "v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd")
    assert ask("DIGEST k") == b"00006c38adf31777"


def test_arity(ask):
    assert ask("DIGEST") == b"ERR wrong number of arguments for 'digest' command"
    assert ask("DIGEST a b") == b"ERR wrong number of arguments for 'digest' command"
