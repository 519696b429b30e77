# What goes along from stage to stage of DTL: all but the classifiers. The verification subnet stays as it is while the
# new classifiers are trained (section 4.1).
_carry = ('backbone', 'neck', 'heads.ver', 'heads.ver_aux1', 'heads.ver_aux2')
