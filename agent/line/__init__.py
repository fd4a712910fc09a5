"""The line to the controller: reports and receipts up, orders and thresholds down."""
