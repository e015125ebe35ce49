ln -s ../sites-available/site /etc/nginx/sites-enabled/site
rm /etc/nginx/sites-enabled/default
