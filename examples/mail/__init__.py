"""Mail: POP3, IMAP4 and SMTP submission on one portal and one realm."""
