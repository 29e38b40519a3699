-- The shop: products, customers, orders; the same content every time, and the same as that of scripts/shop-db. `shop` owns it,
-- `larder` may read.
CREATE ROLE shop LOGIN;
CREATE ROLE larder LOGIN;
GRANT ALL ON SCHEMA public TO shop;
SET ROLE shop;

CREATE TABLE category (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE product (id int PRIMARY KEY, category_id int NOT NULL REFERENCES category, title text NOT NULL,
                      price numeric(8, 2) NOT NULL, stock int NOT NULL, labels jsonb NOT NULL);
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, city text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, placed timestamp NOT NULL);
CREATE TABLE order_line (order_id int NOT NULL REFERENCES orders, line int NOT NULL, product_id int NOT NULL REFERENCES product,
                         quantity int NOT NULL, PRIMARY KEY (order_id, line));
CREATE INDEX product_by_category ON product (category_id);
CREATE INDEX orders_by_customer ON orders (customer_id);

INSERT INTO category
SELECT id, name FROM unnest(ARRAY['Bread', 'Cheese', 'Coffee', 'Fruit', 'Honey', 'Jam', 'Oil', 'Pasta', 'Spices', 'Tea'])
    WITH ORDINALITY AS c (name, id);

INSERT INTO product
SELECT i, c.id, o.name || ' ' || lower(c.name) || ' no. ' || i, (i * 7919 % 9900 + 99) / 100.0, i::bigint * 104729 % 250,
    jsonb_build_object('origin', o.name, 'fresh', c.name IN ('Bread', 'Fruit'))
FROM generate_series(1, 1000) i JOIN category c ON c.id = i % 10 + 1
    JOIN unnest(ARRAY['Alpine', 'Andean', 'Baltic', 'Breton', 'Cretan', 'Danish', 'Iberian', 'Ligurian', 'Sicilian', 'Welsh'])
        WITH ORDINALITY AS o (name, id) ON o.id = i / 10 % 10 + 1;

INSERT INTO customer
SELECT i, chr(65 + i % 26) || '. ' || s.name, lower(s.name) || i || '@example.com', c.name
FROM generate_series(1, 500) i
    JOIN unnest(ARRAY['Arendt', 'Bohr', 'Curie', 'Dirac', 'Euler', 'Fermi', 'Gauss', 'Hopper', 'Ito', 'Joliot', 'Kepler'])
        WITH ORDINALITY AS s (name, id) ON s.id = i % 11 + 1
    JOIN unnest(ARRAY['Aarhus', 'Bergen', 'Cork', 'Delft', 'Évora', 'Funchal', 'Gdańsk'])
        WITH ORDINALITY AS c (name, id) ON c.id = i % 7 + 1;

INSERT INTO orders
SELECT i, i * 7919 % 500 + 1, timestamp '2024-01-01' + i * 263 * interval '1 minute' FROM generate_series(1, 2000) i;

INSERT INTO order_line
SELECT i % 2000 + 1, i / 2000 + 1, i::bigint * 104729 % 997 + 1, i % 5 + 1 FROM generate_series(0, 4999) i;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO larder;
