"""What is on the pages of a PDF besides running text: tables, notes and fields, pictures, scans."""
