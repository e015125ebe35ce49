"""Tests that ask for facts: no command is run for them, so they can be replayed."""


def test_the_release_is_debian(droplet, droplet_os_release):
    assert droplet_os_release.id == "debian", f"{droplet.name} runs {droplet_os_release}"


def test_the_kernel_is_of_the_cloud_flavour(droplet_kernel):
    assert "cloud" in droplet_kernel.release


def test_the_site_is_tagged(droplet):
    assert "prod" in droplet.tags
