"""How Django writes instants where a page leaves it to Django: as the portal's own pages do, and in UTC."""
