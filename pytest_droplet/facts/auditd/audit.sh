# The kernel's audit state and the rules that it has.
# Prints: what auditctl says to -s, rc STATUS, what it says to -l, rc STATUS. 127: it is absent.
command -v auditctl >/dev/null || exit 127
auditctl -s 2>&1
echo "rc $?"
auditctl -l 2>&1
echo "rc $?"
