# docs: manual pages (docs/man/NAME.SECTION) and the documents of the project.
$(foreach s,1 5 7 8,$(eval $(call install,$(wildcard docs/man/*.$(s)),$(mandir)/man$(s))))
$(eval $(call install,$(wildcard README.md docs/*.md docs/*.json),$(docdir)))
