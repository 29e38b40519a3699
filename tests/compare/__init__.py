"""Random commands to Larder and to a real redis-server, and what differs in the replies.

grammar.py makes the commands, newer.py those that the real server does not have, wire.py carries bytes, compare.py
compares and shrinks, differences.py is the table of what may differ and why.
"""
