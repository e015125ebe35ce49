"""A lab of real hosts on one machine: systemd, sshd, auditd, nftables and web servers that run.

Each host is a Droplet to the plugin: it has public and private addresses, its id, its keys, and
what is wrong with it is really wrong. All of them are in network namespaces without a way out;
what reaches them runs in the auditor's namespace::

    with Lab.start() as lab:
        lab.run(["pytest", "--droplets=all"], env={"DIGITALOCEAN_TOKEN": "..."})

``python -m tests.lab up`` keeps the hosts for people; it says what packages it needs.
"""
