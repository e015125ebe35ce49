# Which Droplet the host is, DROPLET being the one that the API has at this address.
# Prints: cloud-init ID, of the file that cloud-init leaves; metadata ID, of the metadata
# service, which is asked only where the file does not name the Droplet.
id=
for file in /var/lib/cloud/data/instance-id /run/cloud-init/.instance-id; do
    [ -r "$file" ] && id=$(head -c 64 "$file") && echo "cloud-init $id" && break
done
[ "$id" = DROPLET ] && exit 0

id=$(ask_metadata id | head -c 64)
[ -z "$id" ] || echo "metadata $id"
