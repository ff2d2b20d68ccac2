package main

func benchMain(args []string) error { return nil }
