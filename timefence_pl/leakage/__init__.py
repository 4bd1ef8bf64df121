"""Does a data set, or a feature, carry the future?"""
