# Ansible's uri module, a multipart form.
work
ansible localhost -c local -m ansible.builtin.uri -a "{\"url\": \"$URL/ping/ansible\", \"method\": \"POST\",
    \"timeout\": $PATIENCE, \"body_format\": \"form-multipart\", \"body\": {\"exit_code\": \"$(status)\", \"rows\": \"42\"}}"
