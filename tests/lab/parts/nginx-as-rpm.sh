# The folders of nginx as the packages of Red Hat's family lay them out.
mv /etc/nginx/sites-available/site /etc/nginx/conf.d/site.conf
rm -r /etc/nginx/sites-*
sed -i '/sites-enabled/d' /etc/nginx/nginx.conf
