"""What several tests share and is no fixture: real servers, a disk that loses things, a proxy that lies."""
