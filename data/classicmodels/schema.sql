-- classicmodels: a dealer in scale models, its products, offices, staff, customers, orders and payments.
-- MySQL 8 dialect, parents before children. Names, types and keys are those of the public sample schema.

CREATE TABLE productlines (
  productLine     VARCHAR(50)   NOT NULL,
  textDescription VARCHAR(4000),
  htmlDescription MEDIUMTEXT,
  image           MEDIUMBLOB,
  PRIMARY KEY (productLine)
);

CREATE TABLE products (
  productCode        VARCHAR(15)    NOT NULL,
  productName        VARCHAR(70)    NOT NULL,
  productLine        VARCHAR(50)    NOT NULL,
  productScale       VARCHAR(10)    NOT NULL,
  productVendor      VARCHAR(50)    NOT NULL,
  productDescription TEXT           NOT NULL,
  quantityInStock    SMALLINT       NOT NULL,
  buyPrice           DECIMAL(10, 2) NOT NULL,
  MSRP               DECIMAL(10, 2) NOT NULL,
  PRIMARY KEY (productCode),
  FOREIGN KEY (productLine) REFERENCES productlines (productLine)
);

CREATE TABLE offices (
  officeCode   VARCHAR(10) NOT NULL,
  city         VARCHAR(50) NOT NULL,
  phone        VARCHAR(50) NOT NULL,
  addressLine1 VARCHAR(50) NOT NULL,
  addressLine2 VARCHAR(50),
  state        VARCHAR(50),
  country      VARCHAR(50) NOT NULL,
  postalCode   VARCHAR(15) NOT NULL,
  territory    VARCHAR(10) NOT NULL,
  PRIMARY KEY (officeCode)
);

CREATE TABLE employees (
  employeeNumber INT          NOT NULL,
  lastName       VARCHAR(50)  NOT NULL,
  firstName      VARCHAR(50)  NOT NULL,
  extension      VARCHAR(10)  NOT NULL,
  email          VARCHAR(100) NOT NULL,
  officeCode     VARCHAR(10)  NOT NULL,
  reportsTo      INT,
  jobTitle       VARCHAR(50)  NOT NULL,
  PRIMARY KEY (employeeNumber),
  FOREIGN KEY (reportsTo) REFERENCES employees (employeeNumber),
  FOREIGN KEY (officeCode) REFERENCES offices (officeCode)
);

CREATE TABLE customers (
  customerNumber         INT         NOT NULL,
  customerName           VARCHAR(50) NOT NULL,
  contactLastName        VARCHAR(50) NOT NULL,
  contactFirstName       VARCHAR(50) NOT NULL,
  phone                  VARCHAR(50) NOT NULL,
  addressLine1           VARCHAR(50) NOT NULL,
  addressLine2           VARCHAR(50),
  city                   VARCHAR(50) NOT NULL,
  state                  VARCHAR(50),
  postalCode             VARCHAR(15),
  country                VARCHAR(50) NOT NULL,
  salesRepEmployeeNumber INT,
  creditLimit            DECIMAL(10, 2),
  PRIMARY KEY (customerNumber),
  FOREIGN KEY (salesRepEmployeeNumber) REFERENCES employees (employeeNumber)
);

CREATE TABLE payments (
  customerNumber INT            NOT NULL,
  checkNumber    VARCHAR(50)    NOT NULL,
  paymentDate    DATE           NOT NULL,
  amount         DECIMAL(10, 2) NOT NULL,
  PRIMARY KEY (customerNumber, checkNumber),
  FOREIGN KEY (customerNumber) REFERENCES customers (customerNumber)
);

CREATE TABLE orders (
  orderNumber    INT         NOT NULL,
  orderDate      DATE        NOT NULL,
  requiredDate   DATE        NOT NULL,
  shippedDate    DATE,
  status         VARCHAR(15) NOT NULL,
  comments       TEXT,
  customerNumber INT         NOT NULL,
  PRIMARY KEY (orderNumber),
  FOREIGN KEY (customerNumber) REFERENCES customers (customerNumber)
);

CREATE TABLE orderdetails (
  orderNumber     INT            NOT NULL,
  productCode     VARCHAR(15)    NOT NULL,
  quantityOrdered INT            NOT NULL,
  priceEach       DECIMAL(10, 2) NOT NULL,
  orderLineNumber SMALLINT       NOT NULL,
  PRIMARY KEY (orderNumber, productCode),
  FOREIGN KEY (orderNumber) REFERENCES orders (orderNumber),
  FOREIGN KEY (productCode) REFERENCES products (productCode)
);
