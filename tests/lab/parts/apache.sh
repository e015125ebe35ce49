a2enmod -q ssl headers
a2dissite -q 000-default
a2ensite -q site
